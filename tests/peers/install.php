<?php
/* Installs the WordPress of this folder and makes its users.
   Prints JSON: {login: application password, …}. */
define( 'WP_INSTALLING', true );
$_SERVER['HTTP_HOST'] = parse_url( getenv( 'SITE_URL' ), PHP_URL_HOST ) . ':' . parse_url( getenv( 'SITE_URL' ), PHP_URL_PORT );
$_SERVER['REQUEST_URI'] = '/';
require __DIR__ . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
add_filter( 'pre_wp_mail', '__return_true' );
wp_install( 'Peer', 'admin', 'admin@shop.example', true, '', 'a-login-password' );
$passwords = array();
foreach ( array( 'editor', 'author', 'contributor' ) as $role ) {
	wp_insert_user( array(
		'user_login' => $role,
		'user_pass'  => wp_generate_password(),
		'user_email' => "$role@shop.example",
		'role'       => $role,
	) );
}
foreach ( array( 'admin', 'editor', 'author', 'contributor' ) as $login ) {
	$user = get_user_by( 'login', $login );
	$made = WP_Application_Passwords::create_new_application_password( $user->ID, array( 'name' => 'peer' ) );
	$passwords[ $login ] = $made[0];
}
update_option( 'permalink_structure', '/%postname%/' );
echo json_encode( $passwords );
